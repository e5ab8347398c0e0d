"""How a result or a document leaves the product: CSV, Excel, pictures, Word, PDF."""
