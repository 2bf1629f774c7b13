"""`credit products new`: of a lender's file a definition, a table, and an application to try."""
