"""Pictures: files, pages of documents, downloads, and what programs hold in memory."""
