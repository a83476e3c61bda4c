INSERT INTO shown SELECT show_window_in_redis({window_arguments}) FROM windows
