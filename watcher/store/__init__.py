"""The database. Peewee stays in this folder; everything written goes through `StateStore`."""
