"""FFmpeg and the bytes of films: what a file holds, whether it is whole, its stereo track, the safe replace."""
