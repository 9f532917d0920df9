package client

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"deploy/internal/node"
	"deploy/transport"
)

// fetchByCurl lets a Windows machine get the program into a directory that is private already, by
// the curl.exe that the system brings. ok says that it is in place and verified; else l.tell has
// been told why not, if the site wants it fetched at all.
//
// Windows has curl.exe from Windows 10 version 1803 on, and so has Windows Server 2019, which is of
// version 1809; 2016 (1607) has not. It checks certificates by Schannel, against the machine's own
// authorities and their revocation lists. Sources: Microsoft, "Tar and Curl Come to Windows!"
// (2017); curl(1); libcurl, CURLOPT_SSL_OPTIONS
func (l Launch) fetchByCurl(ctx context.Context, s Helper, prog *Program, path string) (ok bool, err error) {
	if l.Fetch.From == "" {
		return false, nil
	}
	l.Fetch.defaults()
	url := l.Fetch.From + prog.MirrorName()
	if l.lacksCurl(s.Facts(), url) {
		return false, nil
	}
	// the name that a session's Write uses: what a link that broke has left there is written over by
	// the next try, whichever way it goes
	temp := path + ".deploy.tmp"
	res, err := s.Run(ctx, node.Cmd{Argv: l.Fetch.curl(prog, temp, url), Timeout: l.Fetch.Most + 30*time.Second})
	var refused *node.CodeError
	switch {
	case err != nil && !errors.As(err, &refused):
		return false, err
	case err != nil:
		l.tell(unfetched(url, refused.Error()))
	case res.Code != 0:
		said := strings.Join(strings.Fields(strings.ToValidUTF8(string(res.Stderr), "?")), " ")
		l.tell(unfetched(url, fmt.Sprintf("curl ended with code %d: %s", res.Code, said)))
	default:
		_, err = s.Do(ctx, node.Adopt{Temp: temp, Path: path, SHA256: prog.Digest})
		switch {
		case err == nil:
			l.Log.Debug("agent downloaded", "node", l.Node, "from", url)
			return true, nil
		case !errors.As(err, &refused):
			return false, err
		case refused.ID == node.HashID:
			l.tell(alien(url))
		default:
			l.tell(unfetched(url, refused.Error()))
		}
	}
	// the other outcomes may have left a part of it
	_, err = s.Do(ctx, node.Remove{Path: temp})
	return false, err
}

// lacksCurl says, and tells, that a Windows machine is too old to bring curl.exe.
func (l Launch) lacksCurl(f node.Facts, url string) bool {
	if f.Release.AtLeast(node.WS2019) {
		return false
	}
	l.tell(unfetched(url, windowsName(f)+" has no curl.exe"))
	return true
}

// curl is the command line of curl.exe that fetches the program; no word of it needs quotes.
func (f Fetch) curl(prog *Program, to, url string) []string {
	return append(append([]string{"curl.exe"}, f.curlOptions()...), "--max-filesize", fmt.Sprint(prog.Size), "-o", to, url)
}

// hashInText finds what certutil prints of a file; words around it are of the machine's language.
// Source: certutil -hashfile, Microsoft Learn
var hashInText = regexp.MustCompile(`(?m)^([0-9a-f]{64})\r?$`)

// fetchAtHome is fetchByCurl over SSH alone, into the directory where placeAtHome places programs.
// What lies there under a program's name is started without a look at it, so it gets that name only
// when it was verified. temp, relative to the home directory, is left where it did not. Each shell
// hands the text in quotes on as it stands.
func (l Launch) fetchAtHome(ctx context.Context, conn transport.Conn, m node.Facts, prog *Program,
	temp string) (ok bool, err error) {
	if l.Fetch.From == "" {
		return false, nil
	}
	l.Fetch.defaults()
	url := l.Fetch.From + prog.MirrorName()
	if l.lacksCurl(m, url) {
		return false, nil
	}
	backslashes := func(path string) string { return strings.ReplaceAll(path, "/", `\`) }
	temp = backslashes(temp)
	end, ok, err := l.bounded(ctx, conn, `cmd.exe /d /c "`+strings.Join(l.Fetch.curl(prog, temp, url),
		" ")+` && certutil.exe -hashfile `+temp+` SHA256"`, url)
	if !ok {
		return false, err
	}
	found := hashInText.FindStringSubmatch(end.printed)
	switch {
	case found == nil:
		l.tell(unfetched(url, fmt.Sprintf("exit code %d: %s", end.code, end.said)))
		return false, nil
	case found[1] != prog.Digest:
		l.tell(alien(url))
		return false, nil
	}
	if end, ok, err = l.bounded(ctx, conn, `cmd.exe /d /c "move /y `+temp+` `+backslashes(homeDir+"/"+prog.Name())+`"`,
		url); !ok {
		return false, err
	}
	if end.code != 0 {
		l.tell(unfetched(url, "cannot rename it: "+end.said))
		return false, nil
	}
	l.Log.Debug("agent downloaded", "node", l.Node, "from", url)
	return true, nil
}
