# The demo's services: one image, in which the first argument says which service a container is. docker-compose.yml uses
# it. It holds one static binary and nothing else, no shell either, and runs as nobody.
ARG GO_IMAGE=golang:1.26-alpine
FROM ${GO_IMAGE} AS build
LABEL org.opencontainers.image.title=waybill-demo
WORKDIR /src
ENV CGO_ENABLED=0 GOWORK=off
COPY go.mod go.sum ./
COPY demo/go.mod demo/go.sum demo/
RUN cd demo && go mod download
COPY . .
RUN cd demo && go build -trimpath -ldflags="-s -w" -o /out/demo .
# A new volume gets its owner from the directory that it is mounted over.
RUN mkdir -p /out/secrets && cd /out && mkdir -p \
      volumes/operator volumes/nats volumes/jetstream volumes/lb volumes/gateway volumes/cart volumes/pricing \
      volumes/payment volumes/fulfil volumes/sticky && chmod -R 0700 secrets volumes

FROM scratch
LABEL org.opencontainers.image.title=waybill-demo
COPY --from=build /out/demo /demo
COPY --from=build --chown=65532:65532 /out/secrets /secrets
COPY --from=build --chown=65532:65532 /out/volumes /volumes
USER 65532:65532
ENTRYPOINT ["/demo"]
