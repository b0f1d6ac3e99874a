"""What goes into a report: scores, plots, pictures, advice, and the page that shows them."""
