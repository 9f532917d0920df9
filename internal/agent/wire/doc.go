// Package wire is the protocol between a controller and an agent.
//
// # Start
//
// The controller starts `deploy agent` on the node over its transport. Both sides write one line of
// ASCII first:
//
//	deploy-agent <protocol>
//
// Anything before that line (a banner, a password that sudo did not read) is skipped.
//
// # Frames
//
// After the line both directions carry frames: four bytes of length (big endian, of what follows),
// one byte of type, a JSON body. A frame is at most MaxFrame bytes. A type that the receiver does
// not know is answered with Unsupported, and never ends the connection.
//
// # Messages
//
// The controller opens with Hello; the agent answers Welcome, or Busy with the name of who holds
// the node, once that one has sent a message. Requests carry an id and are done one after the other
// in the order in which they came; each is answered once, under its id. Ping is answered with Pong
// at any time, also while a step runs. A side that receives nothing for Silence ends the
// connection.
//
// Work hands over a row of tasks, each with the digest of its step, which the events of its acts
// name: the controller writes down the step that it handed over, not what an agent says of it. The
// agent checks, writes the intent to its record, acts, checks again, and sends each as an Event.
// Events of acts carry numbers that grow by one (per record); the controller acknowledges them once
// they are in its journal, and before it hands anything over it says in Sync up to which number it
// has them, so that no event is lost or sent twice. It may say so in Hello already: where Welcome
// answers UpToDate, Sync has nothing to ask, which saves the round trip in the run that changes
// nothing.
//
// An Undo adds numbered events to the record too, which only Sync sends; its answer holds the
// number of the last one. Fields may be added to messages, and kinds of events, without another
// Protocol: both ends are the same program, or the controller refuses the agent by its digest; a
// record that a newer program wrote is refused by an older one that meets a kind of event it does
// not know.
package wire

import "time"

// Protocol is the version of the protocol. Both sides must have the same. Since 2 events name a
// step by its digest.
const Protocol = 2

// Magic begins the first line of each side.
const Magic = "deploy-agent "

// MaxFrame bounds a frame, in bytes: a step's Before may hold a file of a megabyte, in base64.
const MaxFrame = 32 << 20

// Beat is the interval at which an idle side sends a Ping. A side that receives nothing for Silence
// takes the connection for lost.
const (
	Beat    = 5 * time.Second
	Silence = 30 * time.Second
)
