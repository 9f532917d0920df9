package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"deploy/internal/node"
)

// fetchByCurl lets a Windows machine get the program into a directory that is private already, by the curl.exe that the system brings. ok says that it is
// in place and verified; else l.tell has been told why not, if the site wants it fetched at all.
//
// Windows has curl.exe from Windows 10 version 1803 on, and so has Windows Server 2019, which is of version 1809; 2016 (1607) has not. It checks
// certificates by Schannel, against the machine's own authorities and their revocation lists. Sources: Microsoft, "Tar and Curl Come to Windows!" (2017);
// curl(1); libcurl, CURLOPT_SSL_OPTIONS
func (l Launch) fetchByCurl(ctx context.Context, s Helper, prog *Program, path string) (ok bool, err error) {
	if l.Fetch.From == "" {
		return false, nil
	}
	f := l.Fetch
	f.defaults()
	url := f.From + prog.MirrorName()
	if facts := s.Facts(); !facts.Release.AtLeast(node.WS2019) {
		l.tell(unfetched(url, windowsName(facts)+" has no curl.exe"))
		return false, nil
	}
	// the name that a session's Write uses: what a link that broke has left there is written over by the next try, whichever way it goes
	temp := path + ".deploy.tmp"
	argv := append(append([]string{"curl.exe"}, f.curlOptions()...), "--max-filesize", fmt.Sprint(prog.Size), "-o", temp, url)
	res, err := s.Run(ctx, node.Cmd{Argv: argv, Timeout: f.Most + 30*time.Second})
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
			l.Log.Debug("the agent's program was fetched", "node", l.Node, "from", url)
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
