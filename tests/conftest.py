"""What all tests share; that this file is here puts the folder on the import path."""
