"""The Hub: results, filters, the sheet of a repository, downloads."""
