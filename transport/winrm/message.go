package winrm

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/masterzen/winrm"
	"github.com/masterzen/winrm/soap"
)

const (
	actionCreate  = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create"
	actionCommand = nsShell + "/Command"
	resourceCmd   = nsShell + "/cmd"
	anonymous     = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
	stateDone     = nsShell + "/CommandState/Done"
)

// messages builds requests. The library's builders are used where they say what we mean; Create and
// Command are put together from its parts, because its own set no idle time-out, ask for a console
// as stdin and cannot carry every command line.
type messages struct {
	url string
	par *winrm.Parameters // never the library's shared default: that is one pointer for the whole program
}

func newMessages(url string, operation time.Duration, envelope int) messages {
	return messages{url: url, par: winrm.NewParameters(seconds(operation), "en-US", envelope)}
}

// seconds writes a duration as WS-Management does: "PT60S", "PT0.5S".
func seconds(d time.Duration) string {
	return "PT" + strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "S"
}

func (m messages) header(msg *soap.SoapMessage, action string) *soap.SoapHeader {
	return msg.Header().To(m.url).ReplyTo(anonymous).MaxEnvelopeSize(m.par.EnvelopeSize).Id(messageID()).
		Locale(m.par.Locale).Timeout(m.par.Timeout).Action(action).ResourceURI(resourceCmd)
}

// create asks for a shell that ends by itself ten minutes after a client has gone: without it a
// killed client's shells stay for two hours on new Windows and soon fill the user's quota.
func (m messages) create(idle time.Duration) string {
	msg := soap.NewMessage()
	m.header(msg, actionCreate).
		AddOption(soap.NewHeaderOption("WINRS_NOPROFILE", "FALSE")).
		AddOption(soap.NewHeaderOption("WINRS_CODEPAGE", "65001")).Build()
	body := msg.CreateBodyElement("Shell", soap.DOM_NS_WIN_SHELL)
	for _, e := range [][2]string{{"InputStreams", "stdin"}, {"OutputStreams", "stdout stderr"},
		{"IdleTimeOut", seconds(idle)}} {
		el := msg.CreateElement(body, e[0], soap.DOM_NS_WIN_SHELL)
		el.SetContent(e[1])
	}
	return msg.String()
}

func (m messages) command(shell, line string) string {
	msg := soap.NewMessage()
	m.header(msg, actionCommand).ShellId(shell).
		AddOption(soap.NewHeaderOption("WINRS_CONSOLEMODE_STDIN", "FALSE")).
		AddOption(soap.NewHeaderOption("WINRS_SKIP_CMD_SHELL", "FALSE")).Build()
	body := msg.CreateBodyElement("CommandLine", soap.DOM_NS_WIN_SHELL)
	el := msg.CreateElement(body, "Command", soap.DOM_NS_WIN_SHELL)
	el.SetContent(escape(line))
	return msg.String()
}

func (m messages) send(shell, command string, data []byte, end bool) string {
	return winrm.NewSendInputRequest(m.url, shell, command, data, end, m.par).String()
}

func (m messages) receive(shell, command string) string {
	return winrm.NewGetOutputRequest(m.url, shell, command, "stdout stderr", m.par).String()
}

func (m messages) terminate(shell, command string) string {
	return winrm.NewSignalRequest(m.url, shell, command, m.par).String()
}

func (m messages) delete(shell string) string {
	return winrm.NewDeleteShellRequest(m.url, shell, m.par).String()
}

// chunk is how many bytes of stdin fit into one Send: the envelope less all that surrounds them (a
// kilobyte is left for the seal), in base64.
func (m messages) chunk(shell, command string) int {
	n := (m.par.EnvelopeSize - len(m.send(shell, command, nil, true)) - 1024) / 4 * 3
	return max(n, 3)
}

// identify asks who is there, without logging on.
const identify = `<s:Envelope xmlns:s="` + nsSOAP +
	`" xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>`

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder never fails
	return b.String()
}

// output is one Receive answer.
type output struct {
	stdout, stderr []byte
	done           bool
	code           int
}

// parseOutput reads a Receive answer. The library's parser drops what is not base64, which would
// lose output without a word, and takes 70 ms of processor time for each megabyte.
func parseOutput(body []byte, command string) (output, error) {
	var out output
	var stream *[]byte
	var text []byte
	inCode, known := false, false
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return out, fmt.Errorf("cannot read the output: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			text = text[:0]
			switch t.Name.Local {
			case "ReceiveResponse":
				known = true
			case "Stream":
				stream = nil
				if id := attr(t, "CommandId"); id != "" && !strings.EqualFold(id, command) {
					continue
				}
				switch attr(t, "Name") {
				case "stdout":
					stream = &out.stdout
				case "stderr":
					stream = &out.stderr
				}
			case "CommandState":
				out.done = out.done || attr(t, "State") == stateDone
			case "ExitCode":
				inCode = true
			}
		case xml.CharData:
			if stream != nil || inCode {
				text = append(text, t...)
			}
		case xml.EndElement:
			switch t.Name.Local {
			case "Stream":
				if stream != nil {
					data, err := base64.StdEncoding.DecodeString(string(text))
					if err != nil {
						return out, fmt.Errorf("cannot read the output: %w", err)
					}
					*stream = append(*stream, data...)
				}
				stream = nil
			case "ExitCode":
				n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
				if err != nil {
					return out, fmt.Errorf("cannot read the exit code: %w", err)
				}
				// -1 arrives as it is or as 4294967295: Windows exit codes have 32 bits
				out.code, inCode = int(int32(n)), false
			}
		}
	}
	if !known {
		return out, errors.New("cannot read the output: not a ReceiveResponse")
	}
	return out, nil
}

func attr(e xml.StartElement, local string) string {
	for _, a := range e.Attr {
		if a.Name.Local == local && a.Name.Space != "xmlns" {
			return a.Value
		}
	}
	return ""
}
