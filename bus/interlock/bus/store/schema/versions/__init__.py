"""The steps of the schema; a released one is never edited: its checksum is in every store that it was applied to."""
