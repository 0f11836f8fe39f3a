"""The file system: where hints, listings and facts about files come from. Knows nothing about databases or FFmpeg."""
