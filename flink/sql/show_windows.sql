INSERT INTO shown_windows SELECT show_window_in_redis({window_arguments}) FROM windows
