// The image that a room works on: a drawing, the camera, the bars of the answers; one image to the server in flight.
"use strict";
(() => {
  const state = { busy: false, waiting: null };

  const send = (content) => {
    if (state.busy) { state.waiting = content; return; }
    state.busy = true;
    emitEvent("drawn", content);
  };

  window.image = {
    answered() {
      state.busy = false;
      if (state.waiting) { const content = state.waiting; state.waiting = null; send(content); }
    },
    bars(rows, place = "bars") {
      document.getElementById(place).replaceChildren(...rows.map(([name, share, text]) => {
        const row = document.createElement("div");
        row.className = "bar";
        const label = document.createElement("span");
        label.textContent = name;
        const meter = document.createElement("meter");
        meter.value = share; meter.max = 1;
        meter.setAttribute("aria-label", `${name}: ${text}`);
        const value = document.createElement("span");
        value.textContent = text;
        row.append(label, meter, value);
        return row;
      }));
    },
    // a canvas to draw on, bright on dark as the digits are
    pad() {
      const canvas = document.getElementById("pad");
      if (!canvas) return;
      const context = canvas.getContext("2d");
      const clear = () => { context.fillStyle = "black"; context.fillRect(0, 0, canvas.width, canvas.height); };
      clear();
      context.lineWidth = canvas.width / 10;
      context.lineCap = context.lineJoin = "round";
      context.strokeStyle = "white";
      let last = null;
      const place = (event) => {
        const box = canvas.getBoundingClientRect();
        return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
      };
      const draw = (event) => {
        if (!last) return;
        const now = place(event);
        context.beginPath(); context.moveTo(...last); context.lineTo(...now); context.stroke();
        last = now;
        send(canvas.toDataURL("image/png"));
      };
      canvas.addEventListener("pointerdown", (event) => { last = place(event); canvas.setPointerCapture(event.pointerId); draw(event); });
      canvas.addEventListener("pointermove", draw);
      canvas.addEventListener("pointerup", () => { last = null; });
      document.getElementById("pad-clear").addEventListener("click", () => { clear(); send(canvas.toDataURL("image/png")); });
    },
    async camera() {
      try {
        const stream = await navigator.mediaDevices.getUserMedia({ video: true });
        const video = document.createElement("video");
        video.srcObject = stream;
        await video.play();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
        canvas.getContext("2d").drawImage(video, 0, 0);
        stream.getTracks().forEach((track) => track.stop());
        send(canvas.toDataURL("image/png"));
      } catch (error) {
        emitEvent("refused", "The camera cannot be used: " + error.message);
      }
    },
  };
})();
