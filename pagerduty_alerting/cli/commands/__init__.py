"""What the commands do, one file for each; how they are called is in `app.py`."""
