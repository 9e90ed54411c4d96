"""The routes of the kiosk API, one file a subject; views.py makes the JSON, shapes.py names what goes in and out."""
