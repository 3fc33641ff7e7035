"""What the finished table of a grid says: functions from its rows, one a cell, to statements.

They see decisions and answers and no posterior, so they stand on ``compare.rows`` alone.
"""
