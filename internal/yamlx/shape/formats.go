package shape

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	hostPattern   = `^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`
	domainPattern = `^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`
	macPattern    = `^[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}$`
	letterPattern = `^[C-Zc-z]:?$`
	pathPattern   = `^([A-Za-z]:\\|\\\\[^\\]+\\[^\\]+|/)`
	sizePattern   = `^([0-9]+) ?(MB|GB|TB)$`
	ipv4Pattern   = `^[0-9]{1,3}(\.[0-9]{1,3}){3}$`
	cidrPattern   = `^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$`
	timePattern   = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
)

// formats are compiled once; the table never changes.
var formats = map[string]*regexp.Regexp{
	"hostname": regexp.MustCompile(hostPattern), "domain": regexp.MustCompile(domainPattern),
	"mac":    regexp.MustCompile(macPattern),
	"letter": regexp.MustCompile(letterPattern), "path": regexp.MustCompile(pathPattern),
	"size": regexp.MustCompile(sizePattern),
	"ipv4": regexp.MustCompile(ipv4Pattern), "duration": regexp.MustCompile(timePattern),
}

// Normal checks a text of a kind and returns its normal form; msg is what is wrong with it ("is not
// ..."), or "".
func Normal(kind, text string) (value any, msg, hint string) {
	return (&Checker{}).normal(kind, text)
}

func (c *Checker) normal(kind, text string) (value any, msg, hint string) {
	switch kind {
	case "ipv4":
		if a, err := netip.ParseAddr(text); err != nil || !a.Is4() {
			return nil, "is not an IPv4 address", "write four numbers of 0 to 255: 192.0.2.11"
		}
	case "address":
		return text, badAddress(text), "write an IP address (192.0.2.11) or a host name"
	case "cidr":
		if p, err := netip.ParsePrefix(text); err != nil || !p.Addr().Is4() {
			return nil, "is not an IPv4 address with a prefix length", "write it as 10.0.0.1/24"
		}
	case "hostname":
		if !formats["hostname"].MatchString(text) {
			return nil, "is not a computer name", "use letters, digits and hyphens, at most 63, no dot"
		}
	case "domain":
		if !formats["domain"].MatchString(text) {
			return nil, "is not a domain name", "write it with its dots: contoso.example"
		}
	case "duration":
		if _, err := time.ParseDuration(text); err != nil || !formats["duration"].MatchString(text) {
			return nil, "is not a duration", "write it as 90s, 10m or 1h30m"
		}
	case "path":
		if !formats["path"].MatchString(text) {
			return nil, "is not an absolute path", `write it from its root: D:\Data, \\server\share or /data`
		}
	case "letter":
		if !formats["letter"].MatchString(text) {
			return nil, "is not a drive letter", "write one letter from C to Z"
		}
		return strings.ToUpper(text[:1]), "", ""
	case "mac":
		if !formats["mac"].MatchString(text) {
			return nil, "is not a network card's address", "write six pairs of digits: 00:15:5D:01:02:03"
		}
		hex := strings.ToUpper(strings.NewReplacer(":", "", "-", "").Replace(text))
		return strings.Join([]string{hex[0:2], hex[2:4], hex[4:6], hex[6:8], hex[8:10], hex[10:12]}, ":"), "", ""
	case "node":
		if c.Nodes != nil && !slices.Contains(c.Nodes, text) {
			return nil, "is not a node of the inventory", Suggest(text, c.Nodes)
		}
	case "credential":
		if c.Credentials != nil && !slices.Contains(c.Credentials, text) {
			return nil, "is not a credential of the site", credentialHint(text, c.Credentials)
		}
	case "size":
		return size(text)
	}
	return text, "", ""
}

func credentialHint(text string, known []string) string {
	if len(known) == 0 {
		return "declare it under `credentials:`, for example " + text +
			`: {username: 'CONTOSO\admin', password: {env: DEPLOY_PASSWORD}}`
	}
	return Suggest(text, known)
}

func badAddress(text string) string {
	if _, err := netip.ParseAddr(text); err == nil {
		return ""
	}
	if strings.Trim(text, "0123456789.") == "" {
		return "is not an IP address"
	}
	if !formats["hostname"].MatchString(text) && !formats["domain"].MatchString(text) {
		return "is neither an IP address nor a host name"
	}
	return ""
}

func size(text string) (any, string, string) {
	const hint = "write a number and MB, GB or TB: 10 GB"
	m := formats["size"].FindStringSubmatch(text)
	if m == nil {
		return nil, "is not a size", hint
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil || n == 0 {
		return nil, "is not a possible size", hint
	}
	switch m[2] {
	case "GB":
		n *= 1 << 10
	case "TB":
		n *= 1 << 20
	}
	return int(n), "", ""
}
