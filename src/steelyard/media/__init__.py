"""Pictures and sounds: files, pages of documents, downloads, and what programs hold in memory."""
