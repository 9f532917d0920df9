package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"deploy/internal/node"
	"deploy/transport"
)

// Fetch lets a node get the agent's program over HTTPS from a server near it, instead of having it
// sent. Whatever goes wrong, it is sent.
type Fetch struct {
	From string // https://HOST/DIRECTORY/ of letters, digits and . _ ~ - alone, with its last slash; "" fetches nothing

	Connect time.Duration // to be connected; 0 means 10 s
	Silence time.Duration // during which nothing comes; 0 means 20 s
	Most    time.Duration // altogether; 0 means 5 min
}

func (f *Fetch) defaults() {
	for _, d := range []struct {
		v     *time.Duration
		usual time.Duration
	}{{&f.Connect, 10 * time.Second}, {&f.Silence, 20 * time.Second}, {&f.Most, 5 * time.Minute}} {
		if *d.v <= 0 {
			*d.v = d.usual
		}
	}
}

// MirrorName is the name under which a server offers the program for Fetch. It carries the whole
// SHA-256 of the program, so that every version has a name of its own there. For Linux it is packed
// by gzip; Windows brings nothing that unpacks such a file.
func (p Program) MirrorName() string {
	name := "deploy-agent-" + p.Platform.OS + "-" + p.Platform.Arch + "-" + p.Digest
	if p.Platform.OS == "windows" {
		return name + ".exe"
	}
	return name + ".gz"
}

// curlOptions are those that every curl since 7.34 understands, the one in Windows included. It
// reads no file of the user's (-q must be first) and asks no proxy; it follows no redirection,
// which would lead to a place that the site did not name. Source: curl(1)
func (f Fetch) curlOptions() []string {
	return []string{"-q", "-g", "-sS", "-f", "-L", "--max-redirs", "0", "--proto", "=https", "--tlsv1.2", "--noproxy", "*",
		"--connect-timeout", seconds(f.Connect), "--speed-limit", "1", "--speed-time", seconds(f.Silence), "--max-time",
		seconds(f.Most)}
}

// wgetOptions are the same in the words of GNU Wget; it has no limit for the whole, so timeout(1)
// stands before it. Source: wget(1)
func (f Fetch) wgetOptions() []string {
	return []string{"--no-config", "--no-netrc", "--no-hsts", "--no-proxy", "--tries=1", "--max-redirect=0", "-nv",
		"--dns-timeout=" + seconds(f.Connect), "--connect-timeout=" + seconds(f.Connect),
		"--read-timeout=" + seconds(f.Silence)}
}

// seconds rounds up: 0 would mean for ever.
func seconds(d time.Duration) string {
	return fmt.Sprint(int64((d + time.Second - 1) / time.Second))
}

// Exit codes of the script that fetches, from sysexits.h: not to be had, and not what it should be.
const (
	exitNone  = 69
	exitAlien = 65
)

// fetch lets a Linux node get the program. ok says that it is in place; else l.tell has been told
// why not, and err is set only when nothing more can be done over this connection.
func (l Launch) fetch(ctx context.Context, conn transport.Conn, prog *Program) (ok bool, err error) {
	l.Fetch.defaults()
	f := l.Fetch
	url := f.From + prog.MirrorName()
	// the bound of a file's size, in units of 512 bytes, is for a server that never stops. Source:
	// POSIX, ulimit
	script := prog.intoPlace(fmt.Sprintf("ulimit -f %d 2>/dev/null || :; c=0; ", prog.Size/512+2048) +
		`if command -v curl >/dev/null 2>&1; then w=curl; e=$(curl ` + quoted(f.curlOptions()) + ` -o "$t.gz" ` + url +
		` 2>&1 </dev/null) || c=$?; ` +
		`elif command -v wget >/dev/null 2>&1; then w=wget; e=$(timeout ` + seconds(f.Most) + ` wget ` +
		quoted(f.wgetOptions()) + ` -O "$t.gz" ` + url + ` 2>&1 </dev/null) || c=$?; ` +
		`else echo "it has neither curl nor wget" >&2; exit ` + fmt.Sprint(exitNone) + `; fi; ` +
		`[ $c = 0 ] || { echo "$w ended with code $c: $e" >&2; exit ` + fmt.Sprint(exitNone) + `; }; ` +
		`gzip -dc < "$t.gz" > "$t" || exit ` + fmt.Sprint(exitAlien) + `; `)
	end, ok, err := l.bounded(ctx, conn, script, url)
	switch {
	case !ok:
		return false, err
	case end.code == 0:
		l.Log.Debug("agent downloaded", "node", l.Node, "from", url)
		return true, nil
	case end.code == exitAlien:
		l.tell(alien(url))
	default:
		l.tell(unfetched(url, end.said))
	}
	return false, nil
}

// bounded runs a command line that fetches from url. ok says that it came to its end; else l.tell
// has been told why not, and err is set only when nothing more can be done over this connection.
// The node keeps its own time; the bound here is for one that does not.
func (l Launch) bounded(ctx context.Context, conn transport.Conn, line, url string) (end ending, ok bool, err error) {
	bound, cancel := context.WithTimeout(ctx, l.Fetch.Most+30*time.Second)
	defer cancel()
	end, err = l.runScript(bound, conn, line, nil)
	var link *node.LinkError
	switch {
	case err == nil:
		return end, true, nil
	case ctx.Err() != nil:
		return end, false, fmt.Errorf("cannot place the agent on %s: %w", l.Node, ctx.Err())
	case errors.As(err, &link):
		return end, false, err
	case bound.Err() != nil:
		l.tell(unfetched(url, "the download timed out"))
	default:
		l.tell(unfetched(url, err.Error()))
	}
	return end, false, nil
}

// alien is the note about something that lies where the program should.
func alien(url string) string {
	return "WARNING: what lies at " + url + " is not the agent (wrong SHA-256). It was deleted without being run, " +
		"and deploy uploaded the agent. Check who can write to that server"
}

// unfetched is the note about a program that could not be had.
func unfetched(url, why string) string {
	const most = 300
	if r := []rune(why); len(r) > most {
		why = string(r[:most]) + "..."
	}
	return "cannot download the agent from " + url + ", uploaded it instead: " + why
}

// quoted makes words of a script's line of options that hold nothing that a shell reads in double
// quotes.
func quoted(options []string) string {
	return `"` + strings.Join(options, `" "`) + `"`
}
