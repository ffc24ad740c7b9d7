"""Reading, checking and writing label maps and scans; lists of cases; MONAI data sets."""
