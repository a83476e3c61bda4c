CREATE TEMPORARY TABLE shown_windows LIKE shown
