"""What the commands do, one file for each; their options and help texts are in `app.py`."""
