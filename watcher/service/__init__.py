"""The running thing: takes hints in, decides turn by turn, runs the long work, tells what happened."""
