"""The site of the documents: what of it is written by hand lies in docs/, the rest is made here."""
