alter table orders_v4_offsets drop column last_record;
