set -e
R="/work/wt/spec/target/debug/runc --root /tmp/sb/st"
cd /tmp/sb/b
$R spec 2>/dev/null || { rm config.json; $R spec; }
ip link add nd0 type veth peer name nd1
ip link set nd0 mtu 1400 address 02:11:22:33:44:55
ip addr add 10.9.8.7/24 dev nd0; ip addr add fd00::7/64 dev nd0; ip addr add 169.254.3.3/16 scope link dev nd0
jq '.process.terminal=false | .process.args=["ip","addr"] | .linux.netDevices={"nd0":{"name":"lan%d"}, "nd1": {}}' config.json > c && cp c config.json
$R run x
echo "--- after: devices are destroyed with their namespace"; ip link show nd0 2>&1 | head -2
ip link add nd0 type veth peer name nd1; ip link set nd0 up; ip addr add 10.9.8.7/24 dev nd0
echo "--- failing program: moved back"
jq '.process.args=["/nonexistent"]' config.json > c && cp c config.json
$R run x || true
ip addr show nd0
echo "--- missing second"; jq '.linux.netDevices={"nd0":{}, "zz9": {}}' config.json > c && cp c config.json
$R run x || true
ip addr show nd0 | head -3
echo "--- name taken"; jq '.linux.netDevices={"nd0":{"name":"lo"}}' config.json > c && cp c config.json
$R run x || true
ip link add br9 type bridge;  jq '.linux.netDevices={"br9":{}}' config.json > c && cp c config.json
$R run x || true
ip link del br9
ip link del nd0
