package broker

import (
	"io"
	"net"
)

// gate stands between the server and other processes, and can be shut. A signal could stop a server in a process of its
// own, but not on every operating system.
type gate struct {
	valve
	lis    net.Listener
	server func() (net.Conn, error)
}

func newGate(server func() (net.Conn, error)) (*gate, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{lis: lis, server: server}
	go g.accept()
	return g, nil
}

func (g *gate) accept() {
	for {
		client, err := g.lis.Accept()
		if err != nil {
			return
		}
		server, err := g.server()
		if err != nil {
			client.Close()
			continue
		}
		go g.copy(server, client)
		go g.copy(client, server)
	}
}

// copy ends both connections when one does.
func (g *gate) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	io.Copy(gated{to, g}, from)
}

// gated is a writer that waits until the gate is open.
type gated struct {
	to   net.Conn
	gate *gate
}

func (w gated) Write(b []byte) (int, error) {
	w.gate.wait()
	return w.to.Write(b)
}

func (g *gate) close() { g.lis.Close() }
