"""What a dataset gives away besides its classes: copies, leaks across the split, loudness, length and file format.

files -> measurements (facts, fingerprints) -> census, copies, probes -> report
"""

from src.prepare.audit.audit import audit
from src.prepare.audit.report import Report

__all__ = ["Report", "audit"]
