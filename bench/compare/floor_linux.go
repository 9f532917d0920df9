package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// floorWord makes this program the floor: it reaches every node and runs one program that does
// nothing, as cheaply as SSH lets it.
const floorWord = "floor"

// floorPlan is what the floor is told on its command line.
type floorPlan struct {
	Key     string            // file of the private key
	User    string            // logs on to every node
	Hosts   map[string]string // host keys by address, in the form of authorized_keys
	Program string
	AtOnce  int // nodes
}

// floorMain reaches all nodes of the plan and returns the exit code.
func floorMain(args []string) int {
	var p floorPlan
	if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	text, err := os.ReadFile(p.Key)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	turn := make(chan struct{}, p.AtOnce)
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for address, host := range p.Hosts {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			if err := p.reach(address, host, key); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s: %w", address, err))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (p floorPlan) reach(address, host string, key ssh.Signer) error {
	known, _, _, _, err := ssh.ParseAuthorizedKey([]byte(host))
	if err != nil {
		return err
	}
	raw, err := net.DialTimeout("tcp", address, 30*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	if err := raw.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	conn, chans, reqs, err := ssh.NewClientConn(raw, address,
		&ssh.ClientConfig{User: p.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
			HostKeyCallback: ssh.FixedHostKey(known), HostKeyAlgorithms: []string{known.Type()}})
	if err != nil {
		return err
	}
	client := ssh.NewClient(conn, chans, reqs)
	defer func() { _ = client.Close() }()
	s, err := client.NewSession()
	if err != nil {
		return err
	}
	return s.Run(p.Program)
}
