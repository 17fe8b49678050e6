/**
 * The first program of the test guest. What differs from run to run lies in /etc/hdvkit:
 *
 * | file | lines |
 * |---|---|
 * | modules | path of a module and its parameters, in the order of loading |
 * | shares | tag, mount point, options |
 * | commands | shell commands that run before the shell; optional |
 * | shell | present when the console gets a shell |
 */
export const GUEST_INIT = `#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/root TERM="\${TERM:-linux}"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
hostname guest
while read -r module; do
  insmod $module || echo "hdvkit: cannot load $module"
done < /etc/hdvkit/modules
while read -r tag folder options; do
  mkdir -p "$folder"
  mount -t 9p -o "trans=virtio,version=9p2000.L,msize=262144$options" "$tag" "$folder" || echo "hdvkit: cannot mount $tag"
done < /etc/hdvkit/shares
ip link set lo up
hdvkit-agent /dev/ttyS1 &
agent=$!
[ -f /etc/hdvkit/commands ] && sh /etc/hdvkit/commands
if [ -f /etc/hdvkit/shell ]; then
  cd /root
  setsid sh -c 'exec sh -l </dev/ttyS0 >/dev/ttyS0 2>&1'
else
  wait $agent
fi
poweroff -f
`;

/** What the guest's shells read at login. */
export const GUEST_PROFILE = `export PS1='guest:\\w# '
stty sane 2>/dev/null
`;
