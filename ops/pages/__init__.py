"""What a worker shows to people in a browser: how it is, one key, and the drill-down of sessions. No script, no image.

markup      HTML of which every text is escaped
frame       what all pages have around them: the head, the colours, the headers
worker      the worker itself, and one key of it
question    what a reader asks about sessions, and the links that ask something else
sessions    the drill-down of sessions; `picture`: a histogram as SVG
report      the process that makes that page
"""
