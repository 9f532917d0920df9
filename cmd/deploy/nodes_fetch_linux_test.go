package main

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deploy/internal/agent/client"
	"deploy/internal/testkit/linuxnodes"
)

// mirror is an HTTPS server in the nodes' public network. It knows its guests by their addresses,
// and treats each as the test wants.
type mirror struct {
	url string
	ca  []byte // PEM

	mu    sync.Mutex
	asked map[string][]string // paths by the guest's address
}

func newMirror(t *testing.T, l *linuxnodes.Lab,
	answer func(guest string, w http.ResponseWriter, r *http.Request)) *mirror {
	t.Helper()
	m := &mirror{asked: map[string][]string{}}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	caKey, ownKey := key(), key()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's authority"},
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	own := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mirror"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.ParseIP(l.Controller())}}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	ownDER, err := x509.CreateCertificate(rand.Reader, own, ca, &ownKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	m.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	listener, err := l.Listen()
	if err != nil {
		t.Fatal(err)
	}
	m.url = "https://" + listener.Addr().String() + "/deploy"
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{ownDER}, PrivateKey: ownKey}}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			guest, _, _ := net.SplitHostPort(r.RemoteAddr)
			m.mu.Lock()
			m.asked[guest] = append(m.asked[guest], r.URL.Path)
			m.mu.Unlock()
			answer(guest, w, r)
		})}
	var group sync.WaitGroup
	group.Go(func() { _ = server.ServeTLS(listener, "", "") })
	t.Cleanup(func() {
		_ = server.Close()
		group.Wait()
	})
	return m
}

// requests counts what was asked for by guests, all at one address, and takes them off the list.
func (m *mirror) requests() map[string][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.asked
	m.asked = map[string][]string{}
	return out
}

// A site lets its nodes fetch the agent's program from a server near them. Real curl and wget do it
// where they are and where the server is good; in every other case the program is sent, a person
// hears why, and nothing of the attempt stays on the node.
func TestTierNodesFetch(t *testing.T) {
	linuxnodes.Tier(t, "nodes")
	cases := []struct {
		what   string
		node   string // shell that changes the node first
		answer string // what the mirror does
		note   string // regular expression; "" means that it was fetched
	}{
		{what: "curl", answer: "good"},
		{what: "wget", node: "rm /usr/bin/curl", answer: "good"},
		{what: "no tool", node: "rm /usr/bin/curl /usr/bin/wget", answer: "good",
			note: `uploaded it instead: it has neither curl nor wget`},
		{what: "curl, not there", answer: "missing", note: `uploaded it instead: curl ended with code 22: .*404`},
		{what: "wget, not there", node: "rm /usr/bin/curl", answer: "missing",
			note: `uploaded it instead: wget ended with code 8: .*404`},
		{what: "curl, another program", answer: "alien", note: `^WARNING: what lies at .* is not the agent \(wrong SHA-256\)`},
		{what: "wget, another program", node: "rm /usr/bin/curl", answer: "alien",
			note: `^WARNING: what lies at .* is not the agent \(wrong SHA-256\)`},
		{what: "curl, silence", answer: "silent", note: `curl ended with code 28: `},
		{what: "wget, silence", node: "rm /usr/bin/curl", answer: "silent", note: `wget ended with code 4: `},
		{what: "curl, alien authority", node: "rm /usr/local/share/ca-certificates/*; update-ca-certificates", answer: "good",
			note: `curl ended with code 60: `},
		{what: "wget, alien authority", node: "rm /usr/bin/curl /usr/local/share/ca-certificates/*; update-ca-certificates",
			answer: "good", note: `wget ended with code 5: `},
		{what: "curl, elsewhere", answer: "elsewhere", note: `curl ended with code 47: `},
		{what: "wget, elsewhere", node: "rm /usr/bin/curl", answer: "elsewhere", note: `wget ended with code 8: `},
		{what: "curl, a proxy in the way", node: "echo 'https_proxy=http://192.0.2.1:1' >> /etc/environment; echo 'proxy " +
			"= http://192.0.2.1:1' > /root/.curlrc", answer: "good"},
	}
	l := nodes(t, linuxnodes.Options{Plain: len(cases)})
	prog, err := (&client.Programs{Dirs: []string{filepath.Join(l.Dir(), "agents")}}).Find(client.Platform{OS: "linux",
		Arch: runtime.GOARCH})
	if err != nil {
		t.Fatal(err)
	}
	var good, alien bytes.Buffer
	z := gzip.NewWriter(&alien)
	_, werr := z.Write([]byte("#!/bin/sh\necho this was started > /root/started\n"))
	if err := prog.Packed(&good); err != nil || werr != nil || z.Close() != nil {
		t.Fatal(err, werr)
	}
	answers := map[string]string{}
	for i, c := range cases {
		answers[l.Node(i).Addr] = c.answer
	}
	m := newMirror(t, l, func(guest string, w http.ResponseWriter, r *http.Request) {
		switch answers[guest] {
		case "good":
			_, _ = w.Write(good.Bytes())
		case "alien":
			_, _ = w.Write(alien.Bytes())
		case "silent":
			<-r.Context().Done()
		case "elsewhere":
			http.Redirect(w, r, "http://"+r.Host+"/other", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	})
	var group sync.WaitGroup
	for i, c := range cases {
		group.Go(func() {
			_, err := l.Node(i).Exec(t.Context(), "sh", "-ec",
				`mkdir -p /usr/local/share/ca-certificates; echo "$1" > /usr/local/share/ca-certificates/test.crt; update-ca-certificates; `+c.node, "sh", string(m.ca))
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	k := newBook("fetch")
	k.phase("one")
	k.step("file", `path: /srv/it, content: "here\n"`)
	f := newFleet(t, l, k.String(), l.Nodes()...)
	site, err := os.ReadFile(f.site)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.site, append(site, "agents: {fetch: '"+m.url+"'}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}

	type planned struct {
		Nodes []struct {
			Name, Mode string
			Notes      []string
		}
	}
	var p planned
	debug := filepath.Join(f.dir, "debug")
	start := time.Now()
	r := f.must(t, 2, "plan", "--json", "--debug-log", debug)
	t.Logf("the plan took %s", time.Since(start))
	if err := json.Unmarshal([]byte(r.out), &p); err != nil || len(p.Nodes) != len(cases) {
		t.Fatalf("%d nodes, %v", len(p.Nodes), err)
	}
	lines, err := os.ReadFile(debug)
	if err != nil {
		t.Fatal(err)
	}
	asked := m.requests()
	want := []string{"/deploy/" + prog.MirrorName()}
	for i, c := range cases {
		n := p.Nodes[i]
		if n.Mode != "agent" {
			t.Errorf("%s: steps run %q, want by an agent", c.what, n.Mode)
		}
		said := strings.Join(n.Notes, "\n")
		if len(n.Notes) > 1 || (c.note == "") != (said == "") || !regexp.MustCompile(c.note).MatchString(said) {
			t.Errorf("%s: the plan notes %q, want %q", c.what, said, c.note)
		}
		how := regexp.MustCompile(`"msg":"agent (downloaded|uploaded)","node":"` + n.Name + `"`).FindSubmatch(lines)
		if way := map[bool]string{true: "downloaded", false: "uploaded"}[c.note == ""]; how == nil || string(how[1]) != way {
			t.Errorf("%s: the debug log says %q, want %s", c.what, how, way)
		}
		// a certificate that is not trusted, or no tool, is no request
		if got := asked[l.Node(i).Addr]; !slices.Equal(got, want) &&
			!(got == nil && strings.Contains(c.what, "alien authority")) && !(got == nil && c.what == "no tool") {
			t.Errorf("%s: the server was asked for %q, want %q", c.what, got, want)
		}
		got, err := l.Node(i).Exec(t.Context(), "sh", "-c",
			"ls -A /root/.cache/deploy; ls -A /root | grep -e started -e wget-hsts")
		if got != prog.Name()+"\n" {
			t.Errorf("%s: on the node lie %q (%v), want the program alone", c.what, got, err)
		}
	}
	// what is there is not asked for again
	r = f.must(t, 0, "apply", "--auto-approve", "--json")
	if end := endOf(t, r); end.Counts.Change != len(cases) || strings.Contains(r.out, "cannot download the agent") {
		t.Errorf("the run after it: %+v\n%s", end, tail(r.out))
	}
	if again := m.requests(); len(again) > 0 {
		t.Errorf("the server was asked again: %v", again)
	}
}
