"""The paths below `/_emulator/`: the control API and the page for a person."""
