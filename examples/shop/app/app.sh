#!/bin/sh
# The shop's app. It fills its volume on the first start, with files of the
# kinds that apps leave behind, and then waits for work.
set -eu
cd /uploads

if [ ! -e .filled ]; then
	i=1
	while [ $i -le 300 ]; do
		folder=$(printf 'invoices/2020-%02d' $((1 + i % 12)))
		mkdir -p "$folder"
		printf 'Invoice %d\nto customer %d\ntotal %d.%02d EUR\n' $i $((i * 7 % 2000)) $((i * 13 % 500)) $((i % 100)) >"$folder/invoice-$i.txt"
		i=$((i + 1))
	done

	mkdir photos
	i=1
	while [ $i -le 40 ]; do
		head -c $((i * 5000)) /dev/urandom >"photos/photo $i.jpg"
		i=$((i + 1))
	done
	head -c 8000000 /dev/urandom >photos/catalogue.pdf
	: >photos/empty
	printf 'naïve — 光\n' >'photos/ünïcode 光.txt'

	ln -s ../photos/catalogue.pdf invoices/catalogue.pdf
	ln 'photos/photo 1.jpg' photos/front-page.jpg
	mkdir -m 2775 shared
	printf 'secret\n' >shared/.token
	chmod 600 shared/.token
	chown -R 1000:1000 shared
	touch -d '2001-02-03 04:05:06.789012345' shared/.token 2>/dev/null || touch -t 200102030405.06 shared/.token
	truncate -s 64M photos/sparse.img 2>/dev/null || dd if=/dev/zero of=photos/sparse.img bs=1 count=0 seek=67108864
	: >.filled
fi

: >/tmp/ready
exec sleep infinity
