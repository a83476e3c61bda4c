-- A log that lost its end, and has grown again over the offsets that it lost, is known by the record at one of them.
alter table orders_v4_offsets add column last_record text not null default '';

comment on column orders_v4_offsets.last_record is 'offset, time in ms and hash of the last record below next_offset';
