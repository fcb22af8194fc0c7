"""What downstream tasks need beyond the libraries; imported by configs that name it."""
