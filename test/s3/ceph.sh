#!/bin/sh
# ceph.sh ROOT FOLDER MON_PORT RGW_PORT: one monitor, one OSD that keeps all in memory, one gateway, none of them installed.
# Runs until its group of processes is ended.
set -eu
root=$1 folder=$2 mon=$3 rgw=$4
lib=$root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH="$lib:$lib/ceph:$root/lib/x86_64-linux-gnu"
export PYTHONPATH="$root/usr/lib/python3/dist-packages"
export PATH="$root/usr/bin:$PATH"
export CEPH_CONF="$folder/ceph.conf"
cd "$folder"
mkdir -p mon osd run rgw
fsid=$(cat /proc/sys/kernel/random/uuid)
cat > ceph.conf <<X
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon/0]
public addr = 127.0.0.1
ms bind ipv6 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data = $folder/mon
osd objectstore = memstore
memstore device bytes = 2147483648
osd data = $folder/osd
osd class dir = $lib/rados-classes
erasure code dir = $lib/ceph/erasure-code
plugin dir = $lib/ceph
run dir = $folder/run
admin socket = $folder/run/\$name.\$pid.asok
log file = $folder/\$name.log
keyring = $folder/keyring
rgw data = $folder/rgw
rgw frontends = beast endpoint=127.0.0.1:$rgw
X
ceph-authtool --create-keyring keyring --gen-key -n mon. --cap mon 'allow *'
ceph-authtool keyring --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
ceph-authtool keyring --gen-key -n osd.0 --cap mon 'allow *' --cap osd 'allow *'
monmaptool --create --addv a "[v2:127.0.0.1:$mon]" --fsid "$fsid" monmap
ceph-mon --mkfs -i a --monmap monmap --keyring keyring
ceph-mon -i a -f &
osd=$(cat /proc/sys/kernel/random/uuid)
# Debian's own Python, for which the module that it needs was built.
/usr/bin/python3 "$root/usr/bin/ceph" osd new "$osd"
ceph-osd -i 0 --mkfs --osd-uuid "$osd"
ceph-osd -i 0 -f &
# The account first: whoever waits for the gateway may ask at once.
radosgw-admin user create --uid=test --display-name=test --access-key="$ACCESS_KEY" --secret="$SECRET_KEY"
exec radosgw -n client.admin --keyring "$folder/keyring" -f
