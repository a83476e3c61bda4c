-- The lock of ALTER TABLE, DROP and TRUNCATE: it waits for everyone, and everyone waits behind it.
lock table orders in access exclusive mode
