"""Which jobs are done, which are under way and by whom: sweeps that go on after anything and on any machine."""
