package linuxnodes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// delayLink stands between a node's cable and the public network and holds every frame back, since
// a kernel need not have netem. Two TAP devices are its ends: one in a bridge with the node's
// cable, the other in the public network.
type delayLink struct {
	ends [2]*os.File
	wg   sync.WaitGroup
}

// frame is one Ethernet frame and when it is to go on.
type frame struct {
	due  time.Time
	data []byte
}

// queued frames at most; more are dropped, as a real link does.
const queued = 10000

// Delay holds everything between the node and the public network back by d and up to jitter more or
// less, each way, and drops the given share (0 to 1) of the frames. It replaces what an earlier
// Delay set.
func (n *Node) Delay(d, jitter time.Duration, loss float64) error {
	n.Undelay()
	n.mu.Lock()
	defer n.mu.Unlock()
	names := [2]string{fmt.Sprintf("near%d", n.index), fmt.Sprintf("far%d", n.index)}
	l := &delayLink{}
	err := n.lab.do(func() error {
		for i, name := range names {
			f, err := tap(name)
			if err != nil {
				return err
			}
			l.ends[i] = f
		}
		lines := []string{fmt.Sprintf("link add slow%d type bridge", n.index), fmt.Sprintf("link set slow%d up", n.index),
			fmt.Sprintf("link set %s master slow%d up", names[0], n.index),
			fmt.Sprintf("link set %s master %s up", names[1], publicBridge)}
		if n.run != nil {
			lines = append(lines, fmt.Sprintf("link set %s master slow%d", n.card(0), n.index))
		}
		return ip(lines...)
	})
	n.delay = l
	if err != nil {
		return fmt.Errorf("cannot slow node %s down: %w", n.Name, err)
	}
	for i := range 2 {
		l.wg.Go(func() { pump(l.ends[i], l.ends[1-i], d, jitter, loss) })
	}
	return nil
}

// Undelay takes the slow link out.
func (n *Node) Undelay() {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.delay
	if l == nil {
		return
	}
	n.delay = nil
	if n.run != nil {
		_ = n.lab.do(func() error { return ip(fmt.Sprintf("link set %s master %s", n.card(0), publicBridge)) })
	}
	for _, f := range l.ends {
		if f != nil {
			_ = f.Close()
		}
	}
	l.wg.Wait()
	_ = n.lab.do(func() error { return ip(fmt.Sprintf("link delete slow%d", n.index)) })
}

// master is the bridge that a cable of the node belongs into. The caller holds mu.
func (n *Node) master(net int, bridge string) string {
	if net == 0 && n.delay != nil {
		return fmt.Sprintf("slow%d", n.index)
	}
	return bridge
}

// tap makes a TAP device in the calling thread's network namespace.
func tap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("cannot make the device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil // not blocking: the runtime waits for it, and Close ends a Read
}

// pump carries frames one way until an end is closed.
func pump(from, to *os.File, d, jitter time.Duration, loss float64) {
	queue := make(chan frame, queued)
	var wg sync.WaitGroup
	wg.Go(func() {
		for f := range queue {
			time.Sleep(time.Until(f.due))
			if _, err := to.Write(f.data); errors.Is(err, os.ErrClosed) {
				for range queue { // empty it for the other side
				}
				return
			}
		}
	})
	defer wg.Wait()
	defer close(queue)
	buf := make([]byte, 70000)
	for {
		k, err := from.Read(buf)
		if err != nil {
			return
		}
		if rand.Float64() < loss {
			continue
		}
		hold := d
		if jitter > 0 {
			hold += rand.N(2*jitter) - jitter
		}
		select {
		case queue <- frame{time.Now().Add(hold), append([]byte(nil), buf[:k]...)}:
		default:
		}
	}
}
