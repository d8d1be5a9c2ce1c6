"""The peers' programs run in venvs of their own: nothing here can import them, so nobody looks for doctests there."""

collect_ignore_glob = ["*/app.py", "*/flow.py"]
