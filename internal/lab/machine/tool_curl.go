package machine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"deploy/internal/node"
)

// curl's exit codes, which are libcurl's result codes. Source: curl(1), EXIT CODES;
// libcurl-errors(3)
const (
	curlProtocol  = 1
	curlInit      = 2 // also for options that it does not know
	curlURL       = 3
	curlResolve   = 6
	curlConnect   = 7
	curlPartial   = 18
	curlHTTP      = 22
	curlWrite     = 23
	curlTimeout   = 28
	curlTLS       = 35
	curlRedirects = 47
	curlOldPeer   = 51 // until 7.62
	curlEmpty     = 52
	curlReceive   = 56
	curlPeer      = 60
	curlTooBig    = 63
)

// curlTool is the curl.exe of Windows 10 version 1803 and later, as far as it gets one file over
// HTTPS. It reaches what Module.Outside reaches. Options that it does not know here are refused as
// curl refuses what it never heard of. Time is the clock's: the server is no emulated one.
func curlTool(c *Ctx, argv []string, _ []byte) Result {
	o, err := curlParse(argv[1:])
	if err != "" {
		return Result{Code: curlInit, Stderr: "curl: " + err + "\r\ncurl: try 'curl --help' for more information\r\n"}
	}
	fail := func(code int, text string) Result {
		r := Result{Code: code}
		if !o.silent || o.errors {
			r.Stderr = fmt.Sprintf("curl: (%d) %s\r\n", code, text)
		}
		return r
	}
	u, uerr := url.Parse(o.url)
	switch {
	case uerr != nil || u.Host == "":
		return fail(curlURL, "<url> malformed")
	case u.Scheme != "https" && !(u.Scheme == "http" && o.proto == ""):
		return fail(curlProtocol, fmt.Sprintf("Protocol \"%s\" not supported or disabled in libcurl", u.Scheme))
	}
	if c.B.Outside == nil {
		return fail(curlResolve, "Could not resolve host: "+u.Hostname())
	}
	ctx := c.Context
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	got := make(chan curlGot, 1)
	go func() { got <- o.get(ctx, cancel, c.B.Outside, c.M.Release) }()
	var g curlGot
	for waiting := true; waiting; {
		select {
		case g = <-got:
			waiting = false
		case <-time.After(time.Millisecond):
			c.Sleep(50 * time.Millisecond) // others may use the world meanwhile
		}
	}
	if len(g.body) > 0 || g.code == 0 && o.out == "" {
		if o.out == "" {
			return Result{Stdout: string(g.body), Code: g.code}
		}
		// a transfer that broke leaves what came; one without a body leaves no file
		if err := WriteFile(c, o.out, g.body); err != nil {
			return fail(curlWrite, "Failed writing body (0 != "+strconv.Itoa(len(g.body))+")")
		}
	}
	if g.code != 0 {
		return fail(g.code, g.text)
	}
	return Result{}
}

type curlOptions struct {
	silent, errors, failing, follow bool
	redirects                       int64
	proto                           string
	connect, speedTime, most        time.Duration
	speed, largest                  int64
	out, url                        string
}

// curlParse reads a command line; why says what is wrong with it, in curl's words.
func curlParse(args []string) (o curlOptions, why string) {
	o.redirects = 50
	for i := 0; i < len(args); i++ {
		a := args[i]
		if !strings.HasPrefix(a, "-") || a == "-" {
			if o.url != "" {
				return o, "deploy lab: only one address is emulated"
			}
			o.url = a
			continue
		}
		words := []string{a}
		if !strings.HasPrefix(a, "--") { // letters may stand together
			words = nil
			for _, letter := range a[1:] {
				words = append(words, "-"+string(letter))
			}
		}
		for _, w := range words {
			if slices.Contains([]string{"-q", "--disable", "-g", "--globoff", "--tlsv1.2"}, w) {
				continue // there is no curlrc here, and nothing in an address that could be a pattern
			}
			if on := map[string]*bool{"-s": &o.silent, "--silent": &o.silent, "-S": &o.errors, "--show-error": &o.errors,
				"-f": &o.failing, "--fail": &o.failing,
				"-L": &o.follow, "--location": &o.follow}[w]; on != nil {
				*on = true
				continue
			}
			if i+1 == len(args) {
				return o, "option " + w + ": requires parameter"
			}
			known, number := true, error(nil)
			v := args[i+1]
			switch w {
			case "-o", "--output":
				o.out = v
			case "--proto":
				if o.proto = v; v != "=https" {
					return o, "deploy lab: of --proto only =https is emulated"
				}
			case "--noproxy":
				if v != "*" {
					return o, "deploy lab: of --noproxy only * is emulated"
				}
			case "--max-redirs":
				o.redirects, number = strconv.ParseInt(v, 10, 32)
			case "--connect-timeout":
				o.connect, number = curlSeconds(v)
			case "-m", "--max-time":
				o.most, number = curlSeconds(v)
			case "-y", "--speed-time":
				o.speedTime, number = curlSeconds(v)
			case "-Y", "--speed-limit":
				o.speed, number = strconv.ParseInt(v, 10, 64)
			case "--max-filesize":
				o.largest, number = strconv.ParseInt(v, 10, 64)
			default:
				known = false
			}
			switch {
			case !known:
				return o, "option " + w + ": is unknown"
			case number != nil:
				return o, "option " + w + ": expected a proper numerical parameter"
			}
			i++
		}
	}
	switch {
	case o.url == "":
		return o, "no URL specified!"
	case o.follow && o.redirects != 0:
		return o, "deploy lab: redirections are not emulated: give --max-redirs 0"
	}
	return o, ""
}

func curlSeconds(s string) (time.Duration, error) {
	n, err := strconv.ParseFloat(s, 64)
	return time.Duration(n * float64(time.Second)), err
}

// curlGot is what came, and with a code what went wrong.
type curlGot struct {
	code int
	text string
	body []byte
}

var (
	errCurlLate = errors.New("operation timed out")
	errCurlSlow = errors.New("operation too slow")
)

// get makes the request. cancel ends it when curl itself would.
func (o curlOptions) get(ctx context.Context, cancel context.CancelCauseFunc, outside http.RoundTripper,
	release node.Release) (g curlGot) {
	late := func(d time.Duration, why error) *time.Timer {
		if d <= 0 {
			d = 24 * time.Hour
		}
		return time.AfterFunc(d, func() { cancel(why) })
	}
	whole, connected := late(o.most, errCurlLate), late(o.connect, errCurlLate)
	defer whole.Stop()
	defer connected.Stop()
	var came atomic.Int64
	if o.speed > 0 && o.speedTime > 0 {
		tick := time.NewTicker(o.speedTime)
		ended := make(chan struct{})
		defer tick.Stop()
		defer close(ended)
		go func() {
			for last := int64(0); ; {
				select {
				case <-tick.C:
				case <-ended:
					return
				}
				now := came.Load()
				if float64(now-last) < float64(o.speed)*o.speedTime.Seconds() {
					cancel(errCurlSlow)
				}
				last = now
			}
		}()
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Stop() }})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, nil)
	if err != nil {
		return curlGot{code: curlURL, text: "<url> malformed"}
	}
	r.Header.Set("User-Agent", "curl/7.55.1")
	r.Header.Set("Accept-Encoding", "identity") // without it Go would unpack, and this curl has no libz
	res, err := outside.RoundTrip(r)
	if err != nil {
		return curlFailed(ctx, err, r.URL, release)
	}
	defer func() { _ = res.Body.Close() }()
	switch {
	case res.StatusCode >= 400 && o.failing:
		return curlGot{code: curlHTTP, text: "The requested URL returned error: " + res.Status}
	case res.StatusCode/100 == 3 && o.follow && res.Header.Get("Location") != "":
		return curlGot{code: curlRedirects, text: fmt.Sprintf("Maximum (%d) redirects followed", o.redirects)}
	case o.largest > 0 && res.ContentLength > o.largest: // a length that is not told is not held against it
		return curlGot{code: curlTooBig, text: "Maximum file size exceeded"}
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := res.Body.Read(buf)
		g.body = append(g.body, buf[:n]...)
		came.Add(int64(n))
		switch {
		case errors.Is(err, io.EOF):
			return g
		case err != nil:
			f := curlFailed(ctx, err, r.URL, release)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				f.code, f.text = curlPartial, fmt.Sprintf("transfer closed with %d bytes remaining to read",
					res.ContentLength-int64(len(g.body)))
			}
			f.body = g.body
			return f
		}
	}
}

// curlFailed makes an exit code of an error. Sources beside curl(1): curl pull request 6018 for the
// codes of certificates under Schannel
func curlFailed(ctx context.Context, err error, u *url.URL, release node.Release) curlGot {
	// Windows Server 2019 came with 7.55.1; what has been brought up to date since is newer
	old := !release.AtLeast(node.WS2022)
	var (
		name      *net.DNSError
		unknown   x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		handshake tls.RecordHeaderError
		alert     tls.AlertError
		op        *net.OpError
	)
	switch {
	case errors.Is(context.Cause(ctx), errCurlLate):
		return curlGot{code: curlTimeout, text: "Operation timed out"}
	case errors.Is(context.Cause(ctx), errCurlSlow):
		return curlGot{code: curlTimeout, text: "Operation too slow"}
	case errors.As(err, &name):
		return curlGot{code: curlResolve, text: "Could not resolve host: " + u.Hostname()}
	case errors.As(err, &host) && old:
		return curlGot{code: curlOldPeer, text: "schannel: SNI or certificate check failed: SEC_E_WRONG_PRINCIPAL " +
			"(0x80090322)"}
	case errors.As(err, &host):
		return curlGot{code: curlPeer, text: "schannel: SNI or certificate check failed: SEC_E_WRONG_PRINCIPAL (0x80090322)"}
	case errors.As(err, &unknown) && old:
		return curlGot{code: curlTLS, text: "schannel: next InitializeSecurityContext failed: SEC_E_UNTRUSTED_ROOT " +
			"(0x80090325)"}
	case errors.As(err, &unknown):
		return curlGot{code: curlPeer, text: "schannel: SEC_E_UNTRUSTED_ROOT (0x80090325)"}
	case errors.As(err, &invalid):
		return curlGot{code: curlTLS,
			text: "schannel: next InitializeSecurityContext failed: SEC_E_CERT_EXPIRED (0x80090328)"}
	case errors.As(err, &handshake), errors.As(err, &alert):
		return curlGot{code: curlTLS, text: "schannel: next InitializeSecurityContext failed: SEC_E_INVALID_TOKEN " +
			"(0x80090308)"}
	case errors.As(err, &op) && op.Op == "dial":
		return curlGot{code: curlConnect,
			text: "Failed to connect to " + u.Hostname() + " port " + portOf(u) + ": Connection refused"}
	case errors.As(err, &op) && op.Op == "remote error": // an alert of the other side
		return curlGot{code: curlTLS, text: "schannel: next InitializeSecurityContext failed: SEC_E_ILLEGAL_MESSAGE " +
			"(0x80090326)"}
	case errors.Is(err, io.EOF):
		return curlGot{code: curlEmpty, text: "Empty reply from server"}
	}
	return curlGot{code: curlReceive, text: "Recv failure: Connection was reset"}
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"https": "443", "http": "80"}[u.Scheme]
}
