// Open an image with its nuclei: the ROI set or the label image that nucleus-unet wrote.
//
// For ImageJ 1.52 or later and Fiji. Run it from Plugins > Macros > Run..., and choose the image, then its .roi.zip or
// label image. From the command line:  ImageJ -macro open_nuclei.ijm "cells.tif|results/cells.roi.zip"

chosen = split(getArgument(), "|");
if (lengthOf(chosen) == 2) {
    image = chosen[0];
    nuclei = chosen[1];
} else {
    image = File.openDialog("Image");
    nuclei = File.openDialog("Its nuclei: .roi.zip or label image");
}
open(image);
title = getTitle();
if (endsWith(toLowerCase(nuclei), ".zip")) {
    roiManager("reset");
    roiManager("open", nuclei);
    roiManager("show all without labels");
    print(roiManager("count") + " nuclei");
} else {
    open(nuclei);
    labels = getTitle();
    getStatistics(area, mean, least, most);
    setMinAndMax(0, most);
    run("3-3-2 RGB"); // ImageJ has no glasbey, Fiji has
    colours = getList("LUTs");
    for (i = 0; i < lengthOf(colours); i++) {
        if (startsWith(colours[i], "glasbey")) run(colours[i]);
    }
    print(most + " nuclei");
    selectWindow(title);
    run("Add Image...", "image=[" + labels + "] x=0 y=0 opacity=40 zero");
}
