"""What can be set: typed options as frozen dataclasses, read and checked without PyTorch."""
