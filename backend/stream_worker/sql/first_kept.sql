-- The end of insert.sql where a batch may repeat orders: first come first kept. Half as much work again, since every
-- key is looked up before it is inserted.
on conflict (version, message_id) do nothing
