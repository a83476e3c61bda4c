INSERT INTO shown SELECT show_in_redis({arguments}) FROM tally
