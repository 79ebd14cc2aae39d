package grpctest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/waybill-go/waybill"
)

// gRPC repeats a call on its own, retry policy or not, when the server has refused the stream unseen. The token stays.
func TestTransparentRetry(t *testing.T) {
	auth := authority(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, err := auth.Start(t.Context(), Seats.To(1))
	if err != nil {
		t.Fatal(err)
	}
	pinned := token(t, ctx)
	server := refusing{t: t, ctx: ctx, auth: auth}
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		served <- server.run(conn)
		<-t.Context().Done() // the client has its answer
		conn.Close()
	}()
	with := instrument(propagator(auth))
	client := dial(t, listener.Addr().String(), append(with.client(), dialOptions(auth, allow)...)...)
	if err := unary(ctx, client); err != nil {
		t.Fatalf("call: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("server: %v", err)
	}
	if want := []string{pinned, pinned}; !slices.Equal(server.tokens, want) {
		t.Errorf("got %d attempts with a token, want 2, each with the pinned one", len(server.tokens))
	}
	seats, _ := Seats.Get(ctx)
	if cell, _ := Cell.Get(ctx); seats != 5 || cell != "us-1" {
		t.Errorf("after the call: got %d seats, cell %s, want 5, us-1; lost: %v", seats, cell, waybill.Lost(ctx))
	}
}

// refusing is an HTTP/2 server that refuses its first stream, and answers its second one with an update.
type refusing struct {
	t      *testing.T
	ctx    context.Context // the caller's
	auth   *waybill.Authority
	tokens []string
}

func (s *refusing) run(conn net.Conn) error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if err = s.take(f); err == nil && len(s.tokens) == 1 {
				err = framer.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
			}
		case *http2.DataFrame:
			if f.StreamEnded() && len(s.tokens) == 2 {
				return s.answer(framer, f.StreamID)
			}
		}
		if err != nil {
			return err
		}
	}
}

// take notes the token, and changes the caller's waybill meanwhile.
func (s *refusing) take(f *http2.MetaHeadersFrame) error {
	for _, field := range f.Fields {
		if field.Name == waybill.Header {
			s.tokens = append(s.tokens, field.Value)
		}
	}
	if len(s.tokens) == 0 {
		return errors.New("an attempt without a token")
	}
	return waybill.Update(s.ctx, Cell.To("us-1"))
}

func (s *refusing) answer(framer *http2.Framer, stream uint32) error {
	ctx, hop := s.auth.Receive(s.t.Context(), s.tokens[1:], nil)
	if err := waybill.Update(ctx, Seats.To(5)); err != nil {
		return fmt.Errorf("second attempt: %w", err)
	}
	headers := func(end bool, fields ...string) error {
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		for i := 0; i < len(fields); i += 2 {
			if err := enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true}); err != nil {
				return err
			}
		}
		return framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end,
		})
	}
	if err := headers(false, ":status", "200", "content-type", "application/grpc"); err != nil {
		return err
	}
	empty := binary.BigEndian.AppendUint32([]byte{0}, 0) // a message: not compressed, no bytes
	if err := framer.WriteData(stream, false, empty); err != nil {
		return err
	}
	return headers(true, "grpc-status", "0", waybill.HeaderReturn, hop.Commit(waybill.Succeeded)[0])
}
