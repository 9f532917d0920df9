// Package nodelab makes real Linux nodes on one machine for tests and measurements: each has its
// own network, mount, UTS, IPC, process and cgroup namespaces, its own root (an overlay over one
// shared Debian tree), its own systemd as process 1 (or only an sshd), its own OpenSSH server with
// a host key of its own, and a card in each of two networks. Only tests and bench use it.
//
// The networks live in a network namespace that has no link to the machine's own, so nothing can
// leave. That namespace, and the mounts of the whole lab, belong to one locked thread of the test
// process: when the process ends, however it ends, the kernel takes all of it away. What is left of
// a killed test are an empty directory and cgroups without a process; the next lab sweeps them.
//
// A package that uses it calls Child at the beginning of its TestMain, because the nodes' first
// process is the test program itself until it has built the node's root and hands over to init.
package linuxnodes
